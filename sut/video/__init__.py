"""Streams of video: decoded, batched across streams, detected, tracked and measured."""
