#!/usr/bin/env bash
# build.sh: the Debian packages pogoline (programs, configs) and libpogohex-dev (library) by dpkg-deb.
# From the Makefile: OUT (where they go; compiled in $OUT/deb), VERSION,
# REQUIRES (the pkg-config names that the library needs), MAKE. The same source gives the
# same bytes: all times are that of the changelog's newest entry.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${OUT:?}" "${VERSION:?}" "${REQUIRES:?}" "${MAKE:=make}"
here=configs/deb
stage=$OUT/deb/stage/debian # where dpkg-shlibdeps looks for packages
arch=$(dpkg --print-architecture)
triplet=$(cc -print-multiarch 2>/dev/null || true)
libdir=/usr/lib${triplet:+/$triplet}

[ "$(sed -n '1s/^pogoline (\(.*\)) .*/\1/p' $here/changelog)" = "$VERSION" ] || {
  echo "configs/deb/changelog does not begin with version $VERSION of hextools/version.h" >&2
  exit 2
}
SOURCE_DATE_EPOCH=$(date -d "$(sed -n '/^ -- /{s/.*>  //p;q}' $here/changelog)" +%s)
export SOURCE_DATE_EPOCH

umask 022
# No path of this machine in the binaries, and none of the caller's settings but the compiler's.
places=(BUILD="$OUT/deb" PREFIX=/usr DESTDIR= BINDIR=/usr/bin DATADIR=/usr/share LIBDIR="$libdir" UDEVDIR=/usr/lib/udev
  BASHDIR=/usr/share/bash-completion/completions ZSHDIR=/usr/share/zsh/vendor-completions SAN=
  CFLAGS="-O2 -g -ffile-prefix-map=$PWD=.")
"$MAKE" --no-print-directory "${places[@]}" all library
rm -rf "$stage"
mkdir -p "$stage/pogoline/DEBIAN" # a sign for dpkg-shlibdeps
"$MAKE" --no-print-directory -s "${places[@]}" DESTDIR="$stage/pogoline" install-programs
"$MAKE" --no-print-directory -s "${places[@]}" DESTDIR="$stage/libpogohex-dev" install-library

strip --strip-unneeded --remove-section=.comment --remove-section=.note "$stage"/pogoline/usr/bin/*
strip --strip-debug --remove-section=.comment --remove-section=.note --enable-deterministic-archives \
  "$stage/libpogohex-dev$libdir/libpogohex.a"
gzip -9n "$stage"/pogoline/usr/share/man/man*/*

# What the programs need; libraries' packages have other names in each release, so the system is asked.
if command -v dpkg-shlibdeps >/dev/null 2>&1; then
  printf 'Source: pogoline\n\nPackage: pogoline\nArchitecture: any\n' >"$stage/control"
  depends=$(cd "$stage/.." && dpkg-shlibdeps -O debian/pogoline/usr/bin/* | sed -n 's/^shlibs:Depends=//p')
else
  depends=$(ldd "$stage"/pogoline/usr/bin/* | grep -oE '=> /[^ ]+' | cut -c4- | sort -u | xargs realpath | sed 'p;s|^/usr||' |
    xargs dpkg -S 2>/dev/null | cut -d: -f1 | sort -u | paste -sd, | sed 's/,/, /g')
fi

# package NAME DEPENDS: documents, control files and the archive.
package() {
  local name=$1 root=$stage/$1 doc=$stage/$1/usr/share/doc/$1 size
  install -d "$root/DEBIAN" "$doc"
  install -m 644 $here/copyright "$doc/"
  gzip -9nc $here/changelog >"$doc/changelog.gz"
  chmod 644 "$doc/changelog.gz"
  (cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) \
    >"$root/DEBIAN/md5sums"
  size=$(du -k -s --apparent-size --exclude=DEBIAN "$root" | cut -f1)
  sed -e "s/@VERSION@/$VERSION/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$size/" -e "s/@DEPENDS@/$2/" \
    "$here/$name.control" >"$root/DEBIAN/control"
  find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
  dpkg-deb --root-owner-group -Zxz --build "$root" "$OUT/${name}_${VERSION}_$arch.deb" >/dev/null
  echo "$OUT/${name}_${VERSION}_$arch.deb"
}
package pogoline "$depends"
# libconfig is in libconfig-dev, jansson in libjansson-dev.
package libpogohex-dev "$(printf 'lib%s-dev, ' ${REQUIRES//lib/} | sed 's/, $//')"
