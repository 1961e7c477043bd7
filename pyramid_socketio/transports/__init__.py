"""How packets travel: long-polling and WebSocket."""
