#!/usr/bin/env bash
# Puts prometheus, promtool and kcat, which some tests run, into a folder: unpacked from Debian's packages, so
# that nothing is installed on the machine and no service is started. Root is needed only where
# the lists of packages have never been fetched.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
# kcat's libraries come along; prometheus is the package of promtool, a static binary.
packages=(prometheus kcat librdkafka1 libyajl2 libsasl2-2 liblz4-1 libzstd1)

if [ -x "$folder/bin/promtool" ] && [ -x "$folder/bin/kcat" ]; then exit 0; fi
if ! command -v apt-get > /dev/null || ! command -v dpkg-deb > /dev/null; then
  echo "promtool and kcat are needed by the tests, and this is no Debian or Ubuntu:" \
    "put both into $folder/bin (links will do)" >&2
  exit 2
fi
echo "fetching promtool and kcat from Debian's packages into $folder"
unpacked=$folder/unpacked
mkdir -p "$folder/bin" "$unpacked"
cd "$folder"
if ! apt-get download -qq "${packages[@]}" 2> apt.log; then
  # Without lists of packages, or with old ones, nothing is found.
  apt-get update -qq && apt-get download -qq "${packages[@]}" || { cat apt.log >&2; exit 2; }
fi
for package in ./*.deb; do dpkg-deb -x "$package" unpacked; done
rm -f ./*.deb apt.log
for name in prometheus promtool; do ln -sf "../unpacked/usr/bin/$name" "bin/$name"; done
cat > bin/kcat << 'END'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")/../unpacked/usr
for lib in "$here"/lib/*-linux-gnu; do LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; done
export LD_LIBRARY_PATH
exec "$here/bin/kcat" "$@"
END
chmod +x bin/kcat
bin/promtool --version > /dev/null 2>&1 && bin/kcat -V > /dev/null
