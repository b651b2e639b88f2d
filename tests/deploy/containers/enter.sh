#!/usr/bin/env bash
# Becomes a command in a container of the tests: a root of its own, made of this machine's Python in
# the place of the base image and of what the Dockerfile has put on it. It starts as process 1 of
# `unshare --mount --pid --fork`.
#
#   enter.sh ROOT LAYERS ro|rw PYTHON USER FOLDER [OUTSIDE=INSIDE].. -- [NAME=VALUE].. -- COMMAND..
#
# ROOT is an empty folder. What is mounted can be read only, but for the layers of `rw`.
set -euo pipefail
root=$1 layers=$2 mode=$3 python=$4 user=$5 folder=$6
shift 6

show() { # OUTSIDE INSIDE [rw]: shows a file or a folder
  if [ -d "$1" ]; then
    mkdir -p "$root$2"
  else
    mkdir -p "$(dirname "$root$2")"
    touch "$root$2"
  fi
  mount --bind "$1" "$root$2"
  [ "${3:-ro}" = rw ] || mount -o remount,bind,ro "$root$2"
}

mount --make-rprivate / # no mount is seen outside
mount -t tmpfs -o mode=755 none "$root"
mkdir "$root"/{dev,etc,proc,tmp}
mount -t proc none "$root/proc"
for device in null zero random urandom; do show "/dev/$device" "/dev/$device" rw; done
mkdir "$root/dev/shm"
mount -t tmpfs none "$root/dev/shm"
[ "$mode" = ro ] || mount -t tmpfs none "$root/tmp"
# The libraries, a shell, and the base image's Python.
for lib in /lib /lib32 /lib64; do
  if [ -L "$lib" ]; then ln -s "$(readlink "$lib")" "$root$lib"; elif [ -d "$lib" ]; then show "$lib" "$lib"; fi
done
for lib in /usr/lib /usr/lib32 /usr/lib64; do [ ! -d "$lib" ] || show "$lib" "$lib"; done
show "$(readlink -f /bin/sh)" /bin/sh
if [ "$python" = /usr ]; then
  show "$(readlink -f /usr/bin/python3)" /usr/bin/python3
  mkdir -p "$root/usr/local/bin"
  ln -s /usr/bin/python3 "$root/usr/local/bin/python"
else
  show "$python" /usr/local
  show "$python" "$python" # its own library may be named by this place
fi
echo 'root:x:0:0::/:/bin/sh' > "$root/etc/passwd"
echo 'root:x:0:' > "$root/etc/group"
echo '127.0.0.1 localhost' > "$root/etc/hosts"
[ ! -d /etc/ssl ] || show /etc/ssl /etc/ssl
for layer in "$layers"/*; do show "$layer" "/$(basename "$layer")" "$mode"; done
while [ "$1" != -- ]; do
  show "${1%%=*}" "${1#*=}"
  shift
done
shift
variables=()
while [ "$1" != -- ]; do
  variables+=("$1")
  shift
done
shift
mount -o remount,ro "$root"
change_root=$(command -v chroot)
exec env -i "${variables[@]}" "$(command -v setpriv)" --no-new-privs \
  "$change_root" --userspec="$user" --groups= "$root" \
  /bin/sh -c 'cd "$1" && shift && exec "$@"' sh "$folder" "$@"
