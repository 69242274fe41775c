#!/usr/bin/env bash
# Builds the Dockerfile where no engine can pull images: from base layers made here, with Debian's packages and this
# machine's Rust; then runs the image as its user and asks for its health. Takes a quarter of an hour and 6 GB.
# Usage: tests/image.sh   (as root, with debootstrap and buildah)
set -euo pipefail
cd "$(dirname "$0")/.."
skip() { echo "skipped: the image (1): $1"; [ "${CI:-}" != true ] || exit 1; exit 0; }
[ "$(id -u)" = 0 ] || skip "only root can make base layers"
for program in debootstrap buildah cargo; do
  command -v "$program" >/dev/null || skip "$program is not installed: apt-get install debootstrap buildah"
done

work=$(mktemp -d)
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot TMPDIR=$work
store=(--root "$work/images" --runroot "$work/run")
cleanup() { buildah "${store[@]}" rm --all >/dev/null 2>&1 || true; rm -rf "$work"; }
trap cleanup EXIT
build() { buildah "${store[@]}" build --pull-never --layers "$@"; }

debian=$(sed -n 's/^ARG DEBIAN=//p' Dockerfile)
rust=$(sed -n 's/^ARG RUST_VERSION=//p' Dockerfile)
mirror=$(sed -n -e 's/^URIs: //p' -e 's/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' \
  /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -1 || true) # one of the two is missing

echo "== base layers: Debian $debian, and the Rust of this machine in the place of $rust"
mkdir "$work/base"
debootstrap --variant=minbase "$debian" "$work/base/debian" $mirror >"$work/debootstrap.log" ||
  { tail "$work/debootstrap.log" >&2; exit 1; }
cp -a "$(rustc --print sysroot)/." "$work/base/rust"
rm -rf "$work/base/rust/share"
cp /etc/ssl/certs/ca-certificates.crt "$work/base/"
printf 'FROM scratch\nCOPY debian /\n' >"$work/base/Dockerfile.debian"
cat >"$work/base/Dockerfile.rust" <<END
FROM debian:$debian-slim
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
COPY rust /usr/local/rust
COPY ca-certificates.crt /etc/ssl/certs/
ENV PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
END
build -q -f "$work/base/Dockerfile.debian" -t "docker.io/library/debian:$debian-slim" "$work/base"
build -q -f "$work/base/Dockerfile.rust" -t "docker.io/library/rust:$rust-slim-$debian" "$work/base"

echo "== the image"
build --format docker -t taskloom .

echo "== runs as its user, and is well"
container=$(buildah "${store[@]}" from --pull-never localhost/taskloom)
port=$((20000 + RANDOM % 10000))
buildah "${store[@]}" run --env "TASKLOOM_SERVER__PORT=$port" "$container" -- sh -euc '
  [ "$(id -un)" = taskloom ]
  taskloom dev >/tmp/log 2>&1 &
  server=$!
  for _ in $(seq 100); do [ -s server.json ] && break; sleep 0.1; done
  taskloom health || { cat /tmp/log; exit 1; }
  kill $server
  wait $server'
buildah "${store[@]}" images --format '{{.Name}} {{.Size}}' localhost/taskloom
