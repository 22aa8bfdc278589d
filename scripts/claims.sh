# ./dev claims: plays every cell of `lastbyte lab` on this kernel, and writes what it shows to docs/claims.md.

build
build/lastbyte lab --json build/claims.json
python3 scripts/claims.py build/claims.json "$(date -I)" >build/claims.md
mv build/claims.md docs/claims.md
echo 'wrote docs/claims.md'
