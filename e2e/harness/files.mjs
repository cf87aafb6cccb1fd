// A web server for pages of our own: another origin than amphi's, as an application that uses amphi would be.
import { readFileSync } from 'node:fs';
import http from 'node:http';

const TYPES = { html: 'text/html; charset=utf-8', js: 'text/javascript', mjs: 'text/javascript' };

/**
 * Serves these paths until `close()`.
 * @param {Record<string, {file: string} | {text: string}>} pages
 */
export async function servePages(pages) {
  const server = http.createServer((request, response) => {
    const page = pages[new URL(request.url, 'http://x').pathname];
    if (!page) return response.writeHead(404).end();
    const type = TYPES[request.url.split('?')[0].split('.').pop()] ?? TYPES.html;
    response.writeHead(200, { 'content-type': type });
    response.end(page.text ?? readFileSync(page.file));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => new Promise((done) => (server.closeAllConnections(), server.close(done))),
  };
}
