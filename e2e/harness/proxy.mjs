// A way between browser and server that can be cut: HTTP and WebSocket go through it, media goes past it by UDP.
import http from 'node:http';
import net from 'node:net';

export class Proxy {
  sockets = new Set();
  open = true;

  /**
   * @param {string} target  the server's address
   * @param {{missing?: RegExp}} [options]  paths that are answered with 404, as a server without them would
   */
  static async start(target, { missing } = {}) {
    const proxy = new Proxy();
    proxy.target = target;
    proxy.server = http.createServer((request, response) => {
      if (missing?.test(request.url)) return response.writeHead(404).end();
      const { hostname, port } = new URL(proxy.target);
      const onward = http.request(
        { hostname, port, path: request.url, method: request.method, headers: request.headers },
        (answer) => {
          response.writeHead(answer.statusCode, answer.headers);
          answer.pipe(response);
        },
      );
      onward.on('error', () => response.destroy());
      request.pipe(onward);
    });
    proxy.server.on('upgrade', async (request, socket, head) => {
      // It may go before it is let through.
      socket.on('error', () => {});
      await proxy.held;
      if (missing?.test(request.url)) return socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
      const { hostname, port } = new URL(proxy.target);
      const onward = net.connect(Number(port), hostname, () => {
        const lines = [`${request.method} ${request.url} HTTP/1.1`];
        for (let at = 0; at < request.rawHeaders.length; at += 2) {
          lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
        }
        onward.write(`${lines.join('\r\n')}\r\n\r\n`);
        onward.write(head);
        socket.pipe(onward).pipe(socket);
      });
      proxy.upgrades.push(request.url.split('?')[0]);
      for (const [one, other] of [[socket, onward], [onward, socket]]) {
        one.on('error', () => other.destroy());
        one.on('close', () => other.destroy());
      }
    });
    proxy.server.on('connection', (socket) => {
      if (!proxy.open) return socket.destroy();
      proxy.sockets.add(socket);
      socket.on('close', () => proxy.sockets.delete(socket));
      socket.on('error', () => {});
    });
    await new Promise((done) => proxy.server.listen(0, '127.0.0.1', done));
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  /** Where new connections go. */
  target = '';

  /** The paths of the WebSockets that were let through, oldest first. */
  upgrades = [];

  /** New WebSockets wait for this; other requests do not. */
  held = Promise.resolve();

  /** Tears every connection; until `mend` no new one is let in. */
  cut() {
    this.open = false;
    for (const socket of this.sockets) socket.destroy();
  }

  mend() {
    this.open = true;
  }

  async close() {
    this.cut();
    await new Promise((done) => this.server.close(done));
  }
}
