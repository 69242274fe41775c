# syntax=docker/dockerfile:1
# Taskloom in a container: `docker build -t taskloom .`, then
#   docker run -p 127.0.0.1:8000:8000 -v taskloom:/data taskloom
# docs/deployment.md and compose.yaml show several processes.

ARG RUST_VERSION=1.94
ARG DEBIAN=trixie

# What decides which dependencies there are, and nothing else: the layer with the built dependencies stays until that
# changes. Programs and libraries are empty here.
FROM rust:${RUST_VERSION}-slim-${DEBIAN} AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -path './.cargo/*' -delete \
    && for crate in crates/*; do \
        mkdir -p "$crate/src" && touch "$crate/src/lib.rs" && echo 'fn main() {}' > "$crate/src/main.rs"; \
    done

FROM rust:${RUST_VERSION}-slim-${DEBIAN} AS build
WORKDIR /src
COPY --from=manifests /src .
# Cargo compares times of files and would take the empty crates for newer than the real ones: it has to forget them.
RUN cargo build --release --locked -p taskloom \
    && rm -rf crates target/release/.fingerprint/taskloom*
COPY . .
RUN cargo build --release --locked -p taskloom

FROM debian:${DEBIAN}-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin taskloom \
    && install -d -o taskloom -g taskloom -m 0700 /data /data/artifacts
COPY --from=build /src/target/release/taskloom /usr/local/bin/taskloom
USER taskloom
WORKDIR /data
# The container's own network is not the world: what is published decides who reaches it.
ENV TASKLOOM_DATA=/data TASKLOOM_SERVER__HOST=0.0.0.0
EXPOSE 8000
# For `dev` and `serve`; workers and schedulers have no port, and switch it off.
HEALTHCHECK --interval=10s --timeout=15s --start-period=60s CMD ["taskloom", "health"]
ENTRYPOINT ["taskloom"]
CMD ["dev"]
