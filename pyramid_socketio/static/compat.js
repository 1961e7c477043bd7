/*
 * Help for pages of every age. Load it after the script of a Socket.IO client, whichever version that is:
 *
 *   - every client's sockets get `subscribe(channel)` and `unsubscribe(channel)`;
 *   - old clients say goodbye whenever they leave (`mend.js`, which the server puts in front of this);
 *   - with a client from 1.0 on, `new io.Socket(host, options)` of 0.6 works again.
 *
 * Plain old JavaScript: the browsers that need a client of 0.6 have to read it, too.
 */
(function (global) {
  "use strict";

  var io = global.io;
  if (!io) throw new Error("compat.js: load the script of a Socket.IO client before it");

  // On the wire a subscription is the message {type: "subscribe", channel: ...}. A message is all that 0.6 can say, so
  // it is what every client says, and a context has one handler for all of them, `msg_subscribe(msg)`.
  function tell(socket, type, channel) {
    // In 0.7 to 0.9 `send` makes a text of everything; `json` is what sends objects.
    (socket.json || socket).send({type: type, channel: channel});
  }

  function isConnected(socket) {
    // A socket of 0.7 to 0.9 is a namespace, and leaves the connection to its `socket`.
    return io.SocketNamespace ? socket.socket.connected : socket.connected;
  }

  // "#" + channel -> whether the server was told on this connection. "#": a channel may be called "__proto__".
  //
  // Every connection is a new session of the server, and belongs to no channels. Listening begins with the first
  // subscription, so that the page's own listener of "connect" comes first: what it subscribes is not sent twice.
  function remember(socket) {
    var told = socket._channels = {};
    socket.on("disconnect", function () {
      for (var key in told) told[key] = false;
    });
    socket.on("connect", function () {
      for (var key in told) if (!told[key]) socket.subscribe(key.slice(1));
    });
    return told;
  }

  // Sent at once, or when the connection is there; again after each reconnect, until `unsubscribe`.
  function subscribe(channel) {
    var told = this._channels || remember(this);
    told["#" + channel] = isConnected(this);
    if (told["#" + channel]) tell(this, "subscribe", channel);
    return this;
  }

  function unsubscribe(channel) {
    if (this._channels) delete this._channels["#" + channel];
    if (isConnected(this)) tell(this, "unsubscribe", channel);
    return this;
  }

  function give(target) {
    target.subscribe = subscribe;
    target.unsubscribe = unsubscribe;
    return target;
  }

  if (!io.Manager) {
    give((io.SocketNamespace || io.Socket).prototype); // 0.7 to 0.9, or 0.6
    return;
  }

  // From 1.0 on. Not through the prototype: 3.x does not export the class of its sockets.
  var makeSocket = io.Manager.prototype.socket;
  io.Manager.prototype.socket = function () {
    return give(makeSocket.apply(this, arguments));
  };

  // What follows is io.Socket of 0.6.3 over such a client. As there, the constructor does not connect.
  //
  // host: name without scheme and port; null: the page's. options: those of 0.6.3; used are the ones named here.
  function Socket(host, options) {
    var page = global.location, secure = page.protocol === "https:";
    this.host = host || page.hostname;
    this.options = {
      secure: secure,
      port: page.port || (secure ? 443 : 80),
      resource: "socket.io",
      transports: ["websocket", "xhr-polling"],
      connectTimeout: 5000, // milliseconds
      reconnect: true,
      reconnectionDelay: 500, // milliseconds
      maxReconnectionAttempts: 10
    };
    for (var name in options) this.options[name] = options[name];
    this.connected = this.connecting = this.reconnecting = false;
    this._listeners = {};
    this._queue = [];
  }

  var methods = give(Socket.prototype);

  // Where a page allows both, a client of today begins with polling, and changes to WebSocket when that works: in the
  // other order it would not try polling where WebSocket fails, which is what the lists of 0.6 mean.
  function transports(names) {
    var polling = [], websocket = [];
    for (var i = 0; i < names.length; i++) {
      if (names[i] === "websocket") websocket = ["websocket"];
      else polling = ["polling"];
    }
    return polling.concat(websocket);
  }

  // Pages print errors as JSON, in which an Error shows nothing.
  function plain(error) {
    return error && error.message ? {message: error.message, data: error.data} : error;
  }

  function open(self, options) {
    var url = (options.secure ? "https://" : "http://") + self.host + ":" + options.port;
    // A client of its own for each `connect()`: 1.0 cannot connect again after `disconnect()`.
    var client = self._client = io.connect(url, {
      forceNew: true,
      path: "/" + options.resource,
      transports: transports(options.transports),
      timeout: options.connectTimeout || false,
      reconnection: options.reconnect,
      reconnectionDelay: options.reconnectionDelay,
      reconnectionDelayMax: Infinity, // twice as long after each attempt, as in 0.6.3
      reconnectionAttempts: options.maxReconnectionAttempts
    });

    function listen(emitter, name, listener) {
      emitter.on(name, function (value) {
        if (self._client === client) listener(value);
        else if (name === "connect") stop(client); // 1.0 is not to be stopped between two attempts
      });
    }

    listen(client, "connect", function () {
      var queue = self._queue, again = self.reconnecting;
      state(self, true, false, false);
      for (var i = 0; i < queue.length; i++) client.send(queue[i]);
      self.emit("connect");
      if (again) self.emit("reconnect", [client.io.engine.transport.name, self.reconnectionAttempts]);
    });
    listen(client, "message", function (message) {
      self.emit("message", [message]);
    });
    listen(client, "disconnect", function () {
      lost(self);
    });
    // No connection. From 3.0 on also: the server lets nobody in, which is "error" in 1.x and 2.x.
    listen(client, "connect_error", function (error) {
      self.connecting = false;
      self.emit("connect_failed").emit("error", [plain(error)]);
    });
    listen(client, "error", function (error) {
      self.emit("error", [plain(error)]);
    });
    // At the manager: from 3.0 on the socket does not tell.
    listen(client.io, "reconnect_attempt", function (attempts) {
      self.connecting = self.reconnecting = true;
      self.reconnectionAttempts = attempts;
      self.emit("reconnecting", [options.reconnectionDelay * Math.pow(2, attempts), attempts]);
    });
    listen(client.io, "reconnect_failed", function () {
      self.connecting = self.reconnecting = false;
      self.emit("reconnect_failed");
    });
  }

  function state(self, connected, connecting, reconnecting) {
    self.connected = connected;
    self.connecting = connecting;
    self.reconnecting = reconnecting;
    if (!connecting) self._queue = [];
  }

  function lost(self) {
    var wasConnected = self.connected;
    state(self, false, false, false);
    if (wasConnected) self.emit("disconnect");
  }

  function stop(client) {
    client.disconnect();
    client.io.disconnect(); // in 1.0 the socket leaves the connection open
  }

  // Nothing that this client says from now on is heard.
  function drop(self) {
    var client = self._client;
    self._client = null;
    if (client) stop(client);
  }

  methods.connect = function (listener) {
    if (!this.connected) {
      drop(this);
      this.connecting = true;
      this.emit("connecting");
      open(this, this.options);
    }
    return typeof listener === "function" ? this.once("connect", listener) : this;
  };

  methods.disconnect = function () {
    drop(this);
    lost(this);
    return this;
  };

  // An array is that many messages, as in 0.6. Before the connection: sent when it is there.
  methods.send = function (data) {
    var messages = [].concat(data);
    for (var i = 0; i < messages.length; i++) {
      if (this.connected) this._client.send(messages[i]);
      else this._queue.push(messages[i]);
    }
    return this;
  };

  methods.on = methods.addEvent = methods.addListener = methods.addEventListener = function (name, listener) {
    (this._listeners[name] = this._listeners[name] || []).push(listener);
    return this;
  };

  methods.once = function (name, listener) {
    function once() {
      this.removeEvent(name, once);
      listener.apply(this, arguments);
    }
    once.listener = listener;
    return this.on(name, once);
  };

  methods.removeEvent = methods.removeListener = methods.removeEventListener = function (name, listener) {
    var kept = [], all = this._listeners[name] || [];
    for (var i = 0; i < all.length; i++) {
      if (all[i] !== listener && all[i].listener !== listener) kept.push(all[i]);
    }
    this._listeners[name] = kept;
    return this;
  };

  // Calls the listeners; nothing is sent.
  methods.emit = methods.fire = function (name, args) {
    var all = (this._listeners[name] || []).slice();
    for (var i = 0; i < all.length; i++) all[i].apply(this, args || []);
    return this;
  };

  io.Socket = Socket;
  io.setPath = function () {}; // told 0.5 where Flash finds its file
})(window);
