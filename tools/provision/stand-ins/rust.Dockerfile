# Stands in for Rust's image: the Rust of the machine that builds this, on Debian.
ARG DEBIAN_IMAGE
FROM ${DEBIAN_IMAGE}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates g++ gcc git libc6-dev \
      libssl-dev make pkg-config zlib1g-dev \
 && rm --recursive /var/lib/apt/lists/*
# The machine may trust authorities that Debian doesn't know.
COPY certificates/ /etc/ssl/certs/
COPY cargo /usr/local/cargo
COPY rustup /usr/local/rustup
ARG TOOLCHAIN
ENV CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup RUSTUP_TOOLCHAIN=${TOOLCHAIN} \
    PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN for program in cargo rustc; do ln --symbolic rustup /usr/local/cargo/bin/$program; done \
 && rustc --version
