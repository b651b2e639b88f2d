#!/usr/bin/env bash
# Puts prometheus, promtool, kcat, systemd-analyze and a Chromium without a window, which tests run,
# into a folder: unpacked from Debian's packages, so that nothing is installed and no service is
# started. Root is needed only where the lists of packages have never been fetched.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
# kcat's libraries come along; prometheus is the package of promtool, a static binary. The font gives
# a page the same measures on every machine.
packages=(prometheus kcat librdkafka1 libyajl2 libsasl2-2 liblz4-1 libzstd1 fonts-dejavu-core systemd libsystemd-shared)
browser=chromium-headless-shell
names=(prometheus promtool kcat systemd-analyze "$browser")

is_complete() { for name in "${names[@]}"; do [ -x "$folder/bin/$name" ] || return 1; done; }
# Those libraries of the browser and of systemd that this machine does not have.
missing_packages() {
  apt-get install -s -qq --no-install-recommends "$browser" systemd | awk '$1 == "Inst" && $2 != "xdg-utils" {print $2}'
}
download() {
  local missing
  missing=$(missing_packages) && apt-get download -qq "${packages[@]}" "$browser" $missing
}

if is_complete; then exit 0; fi
if ! command -v apt-get > /dev/null || ! command -v dpkg-deb > /dev/null; then
  echo "${names[*]} are needed by the tests, and this is no Debian or Ubuntu:" \
    "put them into $folder/bin (links will do; one to Chrome for $browser)" >&2
  exit 2
fi
echo "fetching ${names[*]} from Debian's packages into $folder (150 MB)"
unpacked=$folder/unpacked
mkdir -p "$folder/bin" "$unpacked"
cd "$folder"
if ! download 2> apt.log; then
  # Without lists of packages, or with old ones, nothing is found.
  apt-get update -qq && download || { cat apt.log >&2; exit 2; }
fi
# The browser's other languages are half of its data.
for package in ./*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x -C unpacked --exclude='*/locales/*' --exclude='./usr/share/doc/*'
done
rm -f ./*.deb apt.log
for name in prometheus promtool; do ln -sf "../unpacked/usr/bin/$name" "bin/$name"; done
cat > bin/kcat << 'END'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")/../unpacked/usr
for lib in "$here"/lib/*-linux-gnu; do LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; done
export LD_LIBRARY_PATH
exec "$here/bin/kcat" "$@"
END
# It reads systemd's own units, to which ours refer, from beside it.
cat > bin/systemd-analyze << 'END'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")/../unpacked
for lib in "$here"/usr/lib/*-linux-gnu "$here"/usr/lib/*-linux-gnu/systemd "$here"/lib/*-linux-gnu; do
  LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
done
export LD_LIBRARY_PATH SYSTEMD_UNIT_PATH="$here/usr/lib/systemd/system:$here/lib/systemd/system"
exec "$here/usr/bin/systemd-analyze" "$@"
END
cat > fonts.conf << END
<?xml version="1.0"?>
<fontconfig><dir>$unpacked/usr/share/fonts</dir><cachedir>$folder/fonts-cache</cachedir></fontconfig>
END
cat > "bin/$browser" << 'END'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")/..
for lib in "$here"/unpacked/usr/lib/*-linux-gnu "$here"/unpacked/usr/lib/*-linux-gnu/*/; do
  LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
done
export LD_LIBRARY_PATH FONTCONFIG_FILE="$here/fonts.conf"
exec "$here/unpacked/usr/lib/chromium/chromium-headless-shell" "$@"
END
chmod +x bin/kcat bin/systemd-analyze "bin/$browser"
bin/promtool --version > /dev/null 2>&1 && bin/kcat -V > /dev/null && bin/systemd-analyze --version > /dev/null && "bin/$browser" --version > /dev/null
