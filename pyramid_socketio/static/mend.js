/*
 * Repairs of old clients: those of 0.5 to 0.9 over polling (of 0.7.0 to 0.7.4 not always over jsonp-polling), and of 1.0
 * and 1.1 over JSONP, say goodbye whenever they leave; and 0.6 is heard after it has connected anew.
 *
 * The first part of `compat.js`; and pages whose clients poll by JSONP get it with the server's first answer, which is a
 * script.
 */
(function (global) {
  "use strict";

  var io = global.io;
  if (!io || io._mended) return; // a client may be bundled with the page, out of reach
  io._mended = true;

  // What the names inside of a client begin with: in the socket.io packages before 0.6.18 they have an underscore.
  var _ = io.Transport && io.Transport.prototype._prepareUrl ? "_" : "";

  // By a request of its own, as pages of 0.9 that go away say it; 0.6 has no word for the end.
  function goodbyeOf(transport) {
    return transport[_ + "prepareUrl"]() + "/?disconnect=1";
  }

  function say(goodbye) {
    new Image().src = goodbye; // gets out of a page that is about to go
  }

  // All that the server sees is a poll that breaks off, and not even that when it has just answered. And a POST that
  // breaks off with it stays the one to be waited for.
  function mendXhr(transport) {
    var disconnect = transport.disconnect, onDisconnect = transport[_ + "onDisconnect"];

    transport.disconnect = function () {
      if (this.sessionid) say(goodbyeOf(this));
      return disconnect.apply(this, arguments);
    };
    transport[_ + "onDisconnect"] = function () {
      this[_ + "posting"] = false;
      return onDisconnect.apply(this, arguments);
    };
  }

  // 0.6 over jsonp-polling, besides, takes the answer to its last poll for the beginning of a session, and goes on to post
  // with the id of its first one.
  function mendJsonp(transport) {
    var disconnect = transport.disconnect, receive = transport._, checkSend = transport[_ + "checkSend"];
    var post = _ ? "_send" : "sendIORequest", send = transport[post], get = transport[_ + "get"];

    // Its elements go in front of what was the page's first script once: perhaps one of another socket, which is gone.
    function findPlace(transport) {
      transport[_ + "insertAt"] = document.getElementsByTagName("script")[0];
    }

    function removeScript(transport) {
      var script = transport[_ + "script"];
      if (script) script.parentNode.removeChild(script);
      transport[_ + "script"] = null;
    }

    transport.disconnect = function () {
      var goodbye = goodbyeOf(this);
      if (this.sessionid && this[_ + "posting"]) {
        this[_ + "checkSend"] = function () { // called when what is being sent has arrived
          if (!this[_ + "posting"]) {
            delete this[_ + "checkSend"];
            say(goodbye);
          }
          checkSend.call(this);
        };
      } else if (this.sessionid) {
        say(goodbye);
      }
      removeScript(this);
      return disconnect.apply(this, arguments);
    };
    transport._ = function () {
      var script = document.currentScript; // which the oldest browsers do not tell
      return !this[_ + "script"] || (script && script !== this[_ + "script"]) ? this : receive.apply(this, arguments);
    };
    transport[_ + "get"] = function () {
      removeScript(this);
      findPlace(this);
      return get.apply(this, arguments);
    };
    transport[post] = function () {
      findPlace(this);
      if (this[_ + "form"]) this[_ + "form"].action = this[_ + "prepareUrl"]() + "/" + (+new Date) + "/" + this[_ + "index"];
      return send.apply(this, arguments);
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

  // The JSONP of 1.0 and 1.1 throws its form away when it closes, and then fails to remove the iframe from the next one: it
  // closes because of that, and so on. Later clients forget the iframe together with the form.
  function mendManager(manager) {
    var onopen = manager.onopen;

    manager.onopen = function () {
      var transport = this.engine.transport, close = transport.doClose;
      if (transport.query && transport.query.j !== undefined) { // the number of JSONP's callback
        transport.doClose = function () {
          this.iframe = null;
          return close.apply(this, arguments);
        };
      }
      return onopen.apply(this, arguments);
    };
  }

  if (io.Manager) {
    mendManager(io.Manager.prototype);
  } else if (io.SocketNamespace) { // 0.7 to 0.9
    mendBuffer(io.Socket.prototype);
  } else { // 0.5 and 0.6
    mendXhr(io.Transport["xhr-polling"].prototype);
    var jsonp = io.Transport["jsonp-polling"]; // 0.5 has none
    if (jsonp) mendJsonp(jsonp.prototype);
  }
})(window);
