${request.socketio_scripts() | n}
