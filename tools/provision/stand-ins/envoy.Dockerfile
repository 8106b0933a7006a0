# Stands in for Envoy's image: the Envoy that the tests use, on Debian.
ARG DEBIAN_IMAGE
FROM ${DEBIAN_IMAGE}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm --recursive /var/lib/apt/lists/* \
 && mkdir /etc/envoy
COPY envoy /usr/local/bin/
CMD ["envoy", "--config-path", "/etc/envoy/envoy.yaml"]
