// The real binary, started as an operator would, on free ports and a data folder of its own.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually, within } from './poll.mjs';

/** The binary under test. `AMPHI_BIN` names another one. */
export const AMPHI = process.env.AMPHI_BIN ?? path.resolve(import.meta.dirname, '../../target/debug/amphi');

const COLOURS = /\x1b\[[0-9;]*m/g;
// What a log must not contain: an ERROR line in either form, or a panic.
const TROUBLE = /(^|\s)ERROR\s|"level":"ERROR"|panicked at/;

/** Servers that run, by process id: none outlives this process. */
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** A folder that is new and empty; whoever asked for it removes it. */
export const newFolder = (name) => mkdtempSync(path.join(tmpdir(), `amphi-${name}-`));
export const removeFolder = (folder) => rmSync(folder, { recursive: true, force: true });

export class Server {
  log = '';
  url = '';

  /**
   * Starts `amphi serve --dev` and waits until it says that it is ready.
   * @param {{dataDir: string, args?: string[]}} options
   */
  static async start({ dataDir, args = [] }) {
    const server = new Server();
    server.dataDir = dataDir;
    const ports = ['--http-port', '0', '--udp-port', '0', '--tcp-port', '0'];
    const child = spawn(AMPHI, ['serve', '--dev', ...ports, '--data-dir', dataDir, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    server.child = child;
    running.add(child);
    let printed = '';
    child.stdout.on('data', (text) => (printed += text));
    child.stderr.on('data', (text) => (server.log += String(text).replace(COLOURS, '')));
    server.ended = new Promise((done) => {
      child.on('error', (error) => done({ failure: error.message }));
      child.on('exit', (code, signal) => done({ code, signal }));
    }).then((how) => {
      running.delete(child);
      server.how = how;
      return how;
    });
    await eventually(
      'the server prints `ready URL`',
      () => {
        if (server.how) return true;
        server.url = /^ready (http:\/\/\S+)$/m.exec(printed)?.[1] ?? '';
        return server.url;
      },
      { every: 50 },
    );
    if (server.how) throw new Error(`the server ended before it was ready: ${JSON.stringify(server.how)}\n${server.log}`);
    return server;
  }

  /** Stops it as an operator does, and waits for its end. */
  async stop() {
    if (this.how) return;
    this.child.kill('SIGTERM');
    try {
      await within(15_000, 'the server ends after SIGTERM', this.ended);
    } catch (error) {
      this.child.kill('SIGKILL');
      throw error;
    }
    if (this.how.code !== 0) throw new Error(`the server ended badly after SIGTERM: ${JSON.stringify(this.how)}`);
  }

  /** The power fails: no chance to close anything. When that was, in milliseconds since 1970. */
  async kill() {
    this.child.kill('SIGKILL');
    const at = Date.now();
    await this.ended;
    return at;
  }

  /** Process ids of what composes for it. */
  workers() {
    const tasks = `/proc/${this.child.pid}/task`;
    const children = readdirSync(tasks).flatMap((task) => readFileSync(`${tasks}/${task}/children`, 'utf8').split(' '));
    const composes = (pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes('program-worker');
    return children.filter(Boolean).filter(composes).map(Number);
  }

  /** Lines of the log that nobody should have to read. */
  trouble() {
    return this.log.split('\n').filter((line) => TROUBLE.test(line));
  }

  /**
   * Calls the API.
   * @returns {Promise<{status: number, body: any}>}
   */
  async api(method, where, { token, body } = {}) {
    const response = await fetch(this.url + where, {
      method,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    let parsed = text;
    try {
      parsed = JSON.parse(text);
    } catch {
      // Not JSON: the text itself is what a test wants to see.
    }
    return { status: response.status, body: parsed };
  }
}
