/*
 * Help for pages of every age. Load it after the script of a Socket.IO client, whichever version that is:
 *
 *   - every client's sockets get `subscribe(channel)` and `unsubscribe(channel)`;
 *   - clients 0.6.3 to 0.9 over polling (of 0.7.0 to 0.7.4 not always over jsonp-polling), and 1.0 over JSONP, say
 *     goodbye whenever they leave; and 0.6 is heard after it has connected anew;
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

  // By a request of its own, as pages of 0.9 that go away say it; 0.6 has no word for the end.
  function goodbyeOf(transport) {
    return transport.prepareUrl() + "/?disconnect=1";
  }

  function say(goodbye) {
    new Image().src = goodbye; // gets out of a page that is about to go
  }

  // All that the server sees is a poll that breaks off, and not even that when it has just answered. And a POST that
  // breaks off with it stays the one to be waited for.
  function mendXhr(transport) {
    var disconnect = transport.disconnect, onDisconnect = transport.onDisconnect;

    transport.disconnect = function () {
      if (this.sessionid) say(goodbyeOf(this));
      return disconnect.apply(this, arguments);
    };
    transport.onDisconnect = function () {
      this.posting = false;
      return onDisconnect.apply(this, arguments);
    };
  }

  // 0.6 over jsonp-polling, besides, takes the answer to its last poll for the beginning of a session, and goes on to post
  // with the id of its first one.
  function mendJsonp(transport) {
    var disconnect = transport.disconnect, receive = transport._, checkSend = transport.checkSend;
    var post = transport.sendIORequest;

    transport.disconnect = function () {
      var goodbye = goodbyeOf(this);
      if (this.sessionid && this.posting) {
        this.checkSend = function () { // called when what is being sent has arrived
          if (!this.posting) {
            delete this.checkSend;
            say(goodbye);
          }
          checkSend.call(this);
        };
      } else if (this.sessionid) {
        say(goodbye);
      }
      if (this.script) this.script.parentNode.removeChild(this.script);
      this.script = null;
      return disconnect.apply(this, arguments);
    };
    transport._ = function () {
      var script = document.currentScript; // which the oldest browsers do not tell
      return !this.script || (script && script !== this.script) ? this : receive.apply(this, arguments);
    };
    transport.sendIORequest = function () {
      if (this.form) this.form.action = this.prepareUrl() + "/" + (+new Date) + "/" + this.index;
      return post.apply(this, arguments);
    };
  }

  // What 0.7 to 0.9 say while a POST is under way waits until that has arrived, and their goodbye, too; but nobody sends it
  // then: the socket has left the transport.
  function mendBuffer(socket) {
    var disconnect = socket.disconnect, onError = socket.onError;

    socket.disconnect = function () {
      var waits = this.connected && this.open && this.doBuffer, transport = this.transport, count = this.buffer.length;
      if (!this.connected) this.open = false; // 0.9 would keep a goodbye for the next session
      disconnect.apply(this, arguments);
      if (waits) {
        transport.socket = leaving(this, transport, this.buffer.splice(0, count + 1));
        this.doBuffer = false;
      }
      return this;
    };
    socket.onError = function (error) {
      // The server does not know the session: no goodbye, and what waits is for the next one.
      if (error && error.advice === "reconnect") this.open = false;
      return onError.apply(this, arguments);
    };
  }

  // What the transport takes for its socket from now on: it says the last words, and has no part in a new connection.
  function leaving(socket, transport, words) {
    function Leaving() {
      this.connected = this.connecting = false;
      this.onClose = function () { // the POST has failed
        if (words.splice(0, words.length).length) say(goodbyeOf(transport));
      };
      this.setBuffer = function (waits) {
        if (!waits && words.length) transport.payload(words.splice(0, words.length));
      };
    }
    Leaving.prototype = socket;
    return new Leaving();
  }

  // The JSONP of 1.0 throws its form away when it closes, and then fails to remove the iframe from the next one: it
  // closes because of that, and so on. Later clients forget the iframe together with the form.
  function mendGoodbye(manager) {
    manager.on("open", function () {
      var transport = manager.engine.transport, close = transport.doClose;
      if (transport.query.j === undefined) return; // no JSONP
      transport.doClose = function () {
        this.iframe = null;
        return close.apply(this, arguments);
      };
    });
  }

  if (!io.Manager) {
    give((io.SocketNamespace || io.Socket).prototype); // 0.7 to 0.9, or 0.6
    if (io.SocketNamespace) {
      mendBuffer(io.Socket.prototype);
    } else if (io.Transport.prototype.prepareUrl) { // before 0.6.3 it began with _
      mendXhr(io.Transport["xhr-polling"].prototype);
      var jsonp = io.Transport["jsonp-polling"]; // 0.5 has none
      if (jsonp) mendJsonp(jsonp.prototype);
    }
    return;
  }

  // From 1.0 on. Not through the prototype: 3.x does not export the class of its sockets.
  var makeSocket = io.Manager.prototype.socket;
  io.Manager.prototype.socket = function () {
    if (!this._mended) mendGoodbye(this);
    this._mended = true;
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
