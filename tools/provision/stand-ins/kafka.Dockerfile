# Stands in for Kafka's image: the jars that the tests use, on Debian. As there, Kafka's own
# KafkaDockerWrapper makes the configuration of the variables and formats the folder.
ARG DEBIAN_IMAGE
FROM ${DEBIAN_IMAGE}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
 && rm --recursive /var/lib/apt/lists/*
RUN useradd --uid 1000 appuser \
 && mkdir --parents /etc/kafka/docker /etc/kafka/secrets /mnt/shared/config /opt/kafka/config \
      /var/lib/kafka/data \
 && chown --recursive appuser /opt/kafka /var/lib/kafka /mnt/shared/config
COPY libs/ /opt/kafka/libs/
COPY docker/ /etc/kafka/docker/
USER appuser
EXPOSE 9092
VOLUME ["/etc/kafka/secrets", "/var/lib/kafka/data", "/mnt/shared/config"]
CMD ["bash", "/etc/kafka/docker/run"]
