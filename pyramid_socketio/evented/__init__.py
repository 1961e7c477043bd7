"""What runs on gevent's hub: sockets without greenlets, one timer for all, and pooled greenlets for handlers."""
