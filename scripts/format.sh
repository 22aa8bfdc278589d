# ./dev format: lays out the sources as ./dev lint wants them.

setup test
find include src cli tests bench -name '*.[ch]' | xargs clang-format -i
