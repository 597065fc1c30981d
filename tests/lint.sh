#!/usr/bin/env bash
# lint.sh: clang-tidy (one file per call: version 14 takes a va_list for unset when it reads several)
# and cppcheck over every C file of the product; FLAGS are the compiler's.
set -uo pipefail
mapfile -t files < <(git ls-files 'hextools/*.c' 'station/*.c' 'db/*.c' 'fixtures/bench/*.c' 2>/dev/null)
mkdir -p build
# shellcheck disable=SC2086
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -I '{}' clang-tidy --quiet '{}' -- $FLAGS -pthread >build/clang-tidy.log 2>&1
tidy=$?
cppcheck --quiet --std=c11 --language=c --enable=warning,performance,portability --inline-suppr \
  --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches --error-exitcode=1 -j "$(nproc)" -I. \
  -D__GNUC__ "${files[@]}" >build/cppcheck.log 2>&1
check=$?
failed=$(((tidy != 0) + (check != 0)))
[ $tidy -eq 0 ] || grep -E 'error|warning' build/clang-tidy.log | sort -u
[ $check -eq 0 ] || cat build/cppcheck.log
echo "lint: ${#files[@]} files"
echo "$((2 - failed)) passed, $failed failed"
[ $failed -eq 0 ]
