"""A gRPC client as a stranger writes one: grpcio and its reflection client, and no copy of Liongate's protos.

Usage: stock_client.py SOCKET PLUGIN TEXT        prints one JSON object: the services, and the plugin's answer.
Run as a program of its own by test_grpc_stock_client.py, so that no message class of the other tests can help it.
"""

from __future__ import annotations

import json
import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def main() -> None:
    socket, plugin, text = sys.argv[1:]
    channel = grpc.insecure_channel(f"unix:{socket}")
    database = ProtoReflectionDescriptorDatabase(channel)
    services = list(database.get_services())
    pool = descriptor_pool.DescriptorPool(database)
    method = pool.FindServiceByName("liongate.v1.PluginService").FindMethodByName("InvokePlugin")
    factory = message_factory.MessageFactory(pool)
    request_class = factory.GetPrototype(method.input_type)
    response_class = factory.GetPrototype(method.output_type)
    invoke = channel.unary_unary("/liongate.v1.PluginService/InvokePlugin",
                                 request_serializer=request_class.SerializeToString,
                                 response_deserializer=response_class.FromString)
    reply = invoke(request_class(plugin=plugin, text=text), timeout=30)
    print(json.dumps({"services": services, "text": reply.text, "execution_id": reply.execution_id}))


main()
