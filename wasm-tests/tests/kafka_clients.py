"""Publishes calls and reads dead letters as any program with confluent-kafka does."""

import json
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

asked = json.loads(sys.argv[1])


def publish(topic, key, call):
    producer = Producer({"bootstrap.servers": asked["brokers"], "acks": "all"})
    done = []
    producer.produce(
        topic,
        key=key,
        value=json.dumps(call),
        on_delivery=lambda error, message: done.append((error, message)),
    )
    producer.flush()
    error, message = done[0]
    if error is not None:
        raise SystemExit(f"not stored: {error}")
    return {"partition": message.partition(), "offset": message.offset()}


def read(topic, partitions):
    """Reads everything that is there now, without a group of Kafka."""
    consumer = Consumer(
        {
            "bootstrap.servers": asked["brokers"],
            "group.id": "unused",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    places = [TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(partitions)]
    consumer.assign(places)
    letters, open_partitions = [], partitions
    while open_partitions:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            open_partitions -= 1
            continue
        letters.append(json.loads(message.value()))
    consumer.close()
    return letters


if "call" in asked:
    print(json.dumps(publish(asked["topic"], asked["key"], asked["call"])))
else:
    print(json.dumps(read(asked["topic"], asked["partitions"])))
