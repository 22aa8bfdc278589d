# ./dev claims: plays every cell of `lastbyte lab` on this kernel, and writes what it shows to docs/: the page, and two
# pictures of the report.

setup build test
configure build
compile build
build/lastbyte lab --json build/claims.json --html build/claims.html
python3 scripts/claims.py build/claims.json "$(date -I)" >build/claims.md
/usr/bin/python3 scripts/pictures.py build/claims.html docs
mv build/claims.md docs/claims.md
echo 'wrote docs/claims.md and its pictures'
