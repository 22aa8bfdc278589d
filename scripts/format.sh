# ./dev format: lays out the sources as ./dev lint wants them.

setup test
find src cli lab tests bench examples -name '*.c' -exec clang-format -i {} +
find include src cli lab tests bench examples -name '*.h' -exec clang-format --style=file:include/.clang-format -i {} +
