#!/usr/bin/env bash
# make install into a folder and make uninstall out of it; the installed program with its installed configs;
# the installed library: complete headers, a program of somebody else, no printing, no state.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. tests/packaging/cases.sh
unset POGOLINE_CONFIGS

root=$work/root prefix=/usr/local
install_it() { make --no-print-directory BUILD="$BUILD" DESTDIR="$root" "$@"; }
listing() { (cd "$root" && find . ! -type d | sort); }
has() { [ -s "$root$1" ] || { echo "no $1" && false; }; }

ok "make install" install_it install
before=$(listing)
ok "make install again" install_it install
check_eq "which changes nothing" "$before" "$(listing)"
for program in "${programs[@]}"; do
  ok "$program is there and runs" "$root$prefix/bin/$program" --version
  ok "$program has a man page" has "$prefix/share/man/man1/$program.1"
  ok "$program has completion" bash -c ". '$root$prefix/share/bash-completion/completions/$program' && complete -p $program"
done
ok "zsh completion" has $prefix/share/zsh/site-functions/_pogoline
ok "udev rules" has /lib/udev/rules.d/60-pogoline.rules
check_eq "every part, bootloader, recipe and station file" \
  "$(cd configs && find parts bootloaders recipes stations -name '*.cfg' | sort)" \
  "$(cd "$root$prefix/share/pogoline/configs" && find parts bootloaders recipes stations -name '*.cfg' | sort)"
check_eq "programs 755, the rest 644" "" \
  "$(find "$root" -type f \( -path '*/bin/*' ! -perm 755 -o ! -path '*/bin/*' ! -perm 644 \))"
no "nothing of the source tree's packaging" grep -E '/(deb|completion|udev)/[^r]' <<<"$before"

if can_chroot && ! grep -q __asan_init "$BUILD/pogo-hex"; then # which needs /proc
  cp -r "$root" "$work/machine"
  cp fixtures/images/demo_firmware.hex "$work/machine/"
  ok "an installed pogo-hex finds the installed parts" \
    in_root "$work/machine" $prefix/bin/pogo-hex merge --part atmega32u4 -o /out.hex /demo_firmware.hex
else
  ok "pogo-hex knows the installed folder" grep -q "$prefix/share/pogoline" "$root$prefix/bin/pogo-hex"
fi

# ---- the library ----
lib=$root$prefix/lib/libpogohex.a
sanitize=()
nm "$lib" 2>/dev/null | grep -q __asan_ && sanitize=(-fsanitize=address,undefined)
export PKG_CONFIG_PATH=$root$prefix/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
version=$(sed -n 's/.*POGO_VERSION "\(.*\)"/\1/p' hextools/version.h)
check_eq "pkg-config: the version" "$version" "$(pkg-config --modversion pogohex)"
check_eq "pkg-config: the prefix" "$prefix" "$(env -u PKG_CONFIG_SYSROOT_DIR pkg-config --variable=prefix pogohex)"
read -ra cflags < <(pkg-config --cflags pogohex)
read -ra libs < <(pkg-config --libs pogohex)
strict=(-std=c11 -Wall -Wextra -Werror -pedantic)

for header in "$root$prefix"/include/pogoline/hextools/*.h; do
  name=${header##*/}
  printf '#include <pogoline/hextools/%s>\nextern int used;\n' "$name" >"$work/one.c"
  ok "header $name stands alone" cc "${strict[@]}" "${cflags[@]}" -fsyntax-only "$work/one.c"
done
no "no header of the command line" ls "$root$prefix"/include/pogoline/hextools/{commands,options}.h

cat >"$work/user.c" <<'C'
#include <pogoline/hextools/ihex.h>
#include <pogoline/hextools/image.h>
#include <pogoline/hextools/part.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	struct pogo_error err = {0};
	struct hex_image image;
	struct part *part = NULL;
	char digest[65] = "";
	hex_image_init(&image);
	int failed = argc != 3 || part_load(argv[1], "atmega32u4", &part, &err) != 0 ||
		     ihex_read_file(argv[2], &image, &err) != 0 ||
		     hex_image_add(&image, part->flash_bytes - 4, "pogo", 4, HEX_OVERLAP_ERROR, NULL, &err) != 0 ||
		     ihex_digest(&image, digest, &err) != 0;
	printf("%s %llu %s\n", digest, (unsigned long long)hex_image_bytes(&image), err.text);
	hex_image_finish(&image);
	free(part);
	return failed ? (int)err.kind : 0;
}
C
ok "a program of somebody else compiles" cc "${strict[@]}" "${sanitize[@]}" "${cflags[@]}" -o "$work/user" "$work/user.c" "${libs[@]}"
printf ':047FFC00706F676FCC\n:00000001FF\n' >"$work/pogo.hex"
"$BUILD/pogo-hex" merge -o "$work/same.hex" fixtures/images/demo_firmware.hex "$work/pogo.hex"
check_eq "and makes the image that pogo-hex makes" "$(sha256sum <"$work/same.hex" | cut -c-64)" \
  "$("$work/user" "$root$prefix/share/pogoline/configs" fixtures/images/demo_firmware.hex | cut -d' ' -f1)"
"$work/user" "$root$prefix/share/pogoline/configs" fixtures/images/bad/checksum.hex >"$work/refused" 2>&1
check_eq "an error comes back to it" 2 $?
ok "as a sentence" grep -q 'checksum.hex:[0-9]*:[0-9]*: ' "$work/refused"
echo 'int main(void) { return 0; }' >"$work/all.c"
ok "pkg-config names every library that it needs" cc "${sanitize[@]}" -o "$work/all" "$work/all.c" \
  -Wl,--whole-archive "$lib" -Wl,--no-whole-archive "${libs[@]}"

# pogo_fail and friends take a format; what prints needs stdout, stderr, or a function that implies them.
prints='stdout|stderr|(__)?v?printf(_chk)?|puts|putchar|perror|v?(err|warn)x?|(_)?exit|abort|getopt(_long)?|opt(ind|arg)|signal|sigaction'
# outfile.c asks sigaction whether a signal is ignored, and sets none.
check_eq "no object prints, exits or reads options" "" \
  "$(nm -A "$lib" | grep -E " U ($prints)(@.*)?$" | grep -v 'outfile\.o: *U sigaction$')"
no "no main" bash -c "nm '$lib' | grep -E ' T (main|cmd_.*|pogo_hex_run)$'"
if [ ${#sanitize[@]} -eq 0 ]; then
  check_eq "no object has state" "" "$(objdump -h "$lib" | awk '
    /^[^ ].*file format/ { object = $1 }
    $2 ~ /^\.(data|bss|tdata|tbss)/ && $2 !~ /^\.data\.rel\.ro/ && $3 !~ /^0+$/ { print object, $2, $3 }')"
fi

ok "make uninstall" install_it uninstall
check_eq "leaves no file behind" "" "$(listing)"
finish
