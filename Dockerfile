# Everything of this project that runs in containers. docker-compose.yml builds these stages:
#
#   gateway        Envoy's official image with the filter and its configuration
#   stream-server  the Stream: calls, lanes, dead letters
#   demo-function  something to call
#
# To get only the filter:  docker build --target filter --output target/dist .

FROM rust:1.95.0-bookworm AS build
WORKDIR /sluice
COPY . .

FROM build AS build-filter
RUN rustup target add wasm32-wasip1 \
 && cargo xtask dist \
 && cargo xtask render --listen 0.0.0.0 --target http://demo-function:8080 \
      --stream stream-server --filter /etc/envoy/sluice.wasm --output target/dist/envoy.json

FROM build AS build-servers
RUN cargo build --locked --profile tools --package stream-server --package demo-function

FROM scratch AS filter
COPY --from=build-filter /sluice/target/dist/sluice.wasm /

FROM envoyproxy/envoy:v1.40.0 AS gateway
COPY --from=build-filter /sluice/target/dist/sluice.wasm /sluice/target/dist/envoy.json /etc/envoy/
# The image's entrypoint runs Envoy as a user of its own, who has to be able to read them.
RUN chmod 0644 /etc/envoy/sluice.wasm /etc/envoy/envoy.json
EXPOSE 10000 9901
CMD ["envoy", "--config-path", "/etc/envoy/envoy.json"]

FROM debian:bookworm-slim AS stream-server
COPY --from=build-servers /sluice/target/tools/stream-server /usr/local/bin/
# A named volume takes over the owner of the folder that it covers first.
RUN install --directory --owner=10001 --group=10001 /var/lib/stream-server
USER 10001:10001
VOLUME /var/lib/stream-server
EXPOSE 8090
ENTRYPOINT ["stream-server"]
# Only the network of the containers reaches it; docker-compose.yml publishes it on loopback.
CMD ["--listen", "0.0.0.0:8090", "--allow-remote", "--data", "/var/lib/stream-server", \
     "--stream", "calls:4", "--stream", "calls-dead:1", "--stream", "calls-1s:1", \
     "--stream", "calls-5s:1", "--stream", "calls-30s:1", "--stream", "calls-5m:1", \
     "--stream", "calls-1h:1", "--stream", "calls-12h:1"]

FROM debian:bookworm-slim AS demo-function
COPY --from=build-servers /sluice/target/tools/demo-function /usr/local/bin/
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["demo-function"]
CMD ["--listen", "0.0.0.0:8080"]
