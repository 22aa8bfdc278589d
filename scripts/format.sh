# ./dev format: lays out the sources as ./dev lint wants them.

setup test
git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i
