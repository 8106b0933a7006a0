# Everything of this project that runs in containers. docker-compose.yml and
# docker-compose.kafka.yml build these stages:
#
#   gateway        Envoy's official image with the filter and its configuration
#   stream-server  the Stream: calls, lanes, dead letters, in a folder or on Kafka
#   demo-function  something to call
#
# Releases have two images more:
#
#   all-in-one     these three in one container (docs/containers.md)
#   sluice-cli     the command `sluice`
#
# The filter as an OCI image is no stage of this file: `cargo xtask dist --image` writes it, the
# same bytes everywhere (docs/module-image.md).
#
# To get only the filter:  docker build --target filter --output target/dist .

# The base images, pinned by digest. What a tag stands for now is said by
#
#   docker buildx imagetools inspect debian:bookworm-slim --format '{{.Manifest.Digest}}'
#
# Envoy's digest isn't known here yet: give ENVOY_IMAGE with what that says for the tag below, as
# envoyproxy/envoy:v1.40.0@sha256:…, and put it here.
ARG RUST_IMAGE=rust:1.95.0-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1
ARG DEBIAN_IMAGE=debian:bookworm-slim@sha256:3783cc01769c7b2b1b83a5c5ad96c815348e28ed7da68e2e3687004faa906251
ARG ENVOY_IMAGE=envoyproxy/envoy:v1.40.0

FROM ${RUST_IMAGE} AS build
WORKDIR /sluice
COPY . .

# Each stage has downloads of its own: cargo's lock of them is outside of what is kept, and the stages
# are built at the same time.
FROM build AS build-filter
RUN --mount=type=cache,id=registry-of-filter,sharing=locked,target=/usr/local/cargo/registry \
    cargo xtask dist \
 && cargo xtask render --listen 0.0.0.0 --target http://demo-function:8080 \
      --stream stream-server --filter /etc/envoy/sluice.wasm --output target/dist/envoy.json

FROM build AS build-servers
RUN --mount=type=cache,id=registry-of-servers,sharing=locked,target=/usr/local/cargo/registry \
    cargo build --locked --profile tools --package stream-server --package demo-function \
      --package sluice-cli --package all-in-one --package local-gateway \
      --features stream-server/kafka,stream-server/copy

FROM scratch AS filter
COPY --from=build-filter /sluice/target/dist/sluice.wasm /

FROM ${ENVOY_IMAGE} AS gateway
# `sluice leave` prepares the gateway for its end (docs/kubernetes.md).
COPY --from=build-servers /sluice/target/tools/sluice /usr/local/bin/
COPY --from=build-filter /sluice/target/dist/sluice.wasm /sluice/target/dist/envoy.json /etc/envoy/
# Envoy's user has to be able to read them. The image's entrypoint would begin as root, and needs
# capabilities for the way from there; it takes another user as it is.
RUN chmod 0644 /etc/envoy/sluice.wasm /etc/envoy/envoy.json
USER 10001:10001
# Envoy's admin interface is for this container alone.
EXPOSE 10000
CMD ["envoy", "--config-path", "/etc/envoy/envoy.json"]

FROM ${DEBIAN_IMAGE} AS stream-server
# For the engine on Kafka: OpenSSL, and the authorities of brokers.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates libssl3 \
 && rm --recursive /var/lib/apt/lists/*
COPY --from=build-servers /sluice/target/tools/stream-server /usr/local/bin/
# A named volume takes over the owner of the folder that it covers first.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/stream-server
USER 10001:10001
VOLUME /var/lib/stream-server
EXPOSE 8090
ENTRYPOINT ["stream-server"]
# Only the network of the containers reaches it; docker-compose.yml publishes it on loopback. The
# gateway calls it by the name localhost (stream.authority); who calls it stream-server adds
# --host stream-server.
CMD ["--listen", "0.0.0.0:8090", "--allow-remote", "--data", "/var/lib/stream-server", \
     "--stream", "calls:4", "--stream", "calls-dead:1", "--stream", "calls-1s:1", \
     "--stream", "calls-5s:1", "--stream", "calls-30s:1", "--stream", "calls-5m:1", \
     "--stream", "calls-1h:1", "--stream", "calls-12h:1"]

FROM ${DEBIAN_IMAGE} AS demo-function
COPY --from=build-servers /sluice/target/tools/demo-function /usr/local/bin/
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["demo-function"]
CMD ["--listen", "0.0.0.0:8080"]

FROM ${ENVOY_IMAGE} AS envoy

FROM ${DEBIAN_IMAGE} AS all-in-one
# tini collects orphans and passes signals on. The authorities are for explicit targets by https,
# libssl3 is for the stream server.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates libssl3 tini \
 && rm --recursive /var/lib/apt/lists/*
COPY --from=envoy /usr/local/bin/envoy /usr/local/bin/
COPY --from=build-servers /sluice/target/tools/all-in-one /sluice/target/tools/with-parent \
     /sluice/target/tools/stream-server /sluice/target/tools/demo-function \
     /sluice/target/tools/sluice /usr/local/bin/
COPY --from=build-filter /sluice/target/dist/sluice.wasm /sluice/envoy/gateway.yaml /etc/envoy/
RUN chmod 0644 /etc/envoy/sluice.wasm /etc/envoy/gateway.yaml \
 && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/stream-server
USER 10001:10001
VOLUME /var/lib/stream-server
# Everything else listens on the loopback interface of the container.
EXPOSE 10000
# Whether the filter answers: it refuses a request that nothing is stored or called for.
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s \
    CMD ["sluice", "check", "--gateway", "http://127.0.0.1:10000"]
ENTRYPOINT ["tini", "--", "all-in-one"]

FROM ${DEBIAN_IMAGE} AS sluice-cli
COPY --from=build-servers /sluice/target/tools/sluice /usr/local/bin/
USER 10001:10001
ENTRYPOINT ["sluice"]
