# What the stand-in for Kafka's image does at its start, as that does.
jars='/opt/kafka/libs/*'
said=$(java -cp "$jars" kafka.docker.KafkaDockerWrapper setup \
  --default-configs-dir /etc/kafka/docker --mounted-configs-dir /mnt/shared/config \
  --final-configs-dir /opt/kafka/config 2>&1) \
  || echo "$said" | grep --ignore-case 'already formatted' \
  || { echo "$said" && exit 1; }
# The options may be several words.
# shellcheck disable=SC2086
exec java $KAFKA_HEAP_OPTS -XX:+UseSerialGC -Dlog4j2.level=WARN -cp "$jars" \
  kafka.Kafka /opt/kafka/config/server.properties
