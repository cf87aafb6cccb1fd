// A member by LiveKit's Python SDK, in a process of its own (python/member.py says what it tells).
import { spawn } from 'node:child_process';
import path from 'node:path';
import { becomes, eventually, within } from './poll.mjs';

const E2E = path.resolve(import.meta.dirname, '..');

export class PythonMember {
  /** Everything it told, oldest first. */
  told = [];
  errors = '';

  /**
   * @param {{url: string, token: string, colour?: string, hz?: number, codec?: 'h264' | 'vp8', connections?: 'one' | 'two',
   *   subscribe?: 'at-once' | 'after-publishing'}} who
   */
  static start({ url, token, colour, hz, codec = 'h264', connections = 'one', subscribe = 'at-once' }) {
    const member = new PythonMember();
    const args = ['--url', url.replace(/^http/, 'ws'), '--token', token, '--codec', codec];
    args.push('--connections', connections, '--subscribe', subscribe);
    if (colour) args.push('--colour', colour);
    if (hz) args.push('--hz', String(hz));
    const script = path.join(E2E, 'python/member.py');
    member.child = spawn(path.join(E2E, '.venv/bin/python'), [script, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    let rest = '';
    member.child.stdout.on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      // The SDK's native part writes lines of its own to standard output.
      for (const line of lines) if (line.startsWith('{"event"')) member.told.push(JSON.parse(line));
    });
    member.child.stderr.on('data', (text) => (member.errors += text));
    member.child.stdin.on('error', () => {});
    member.ended = new Promise((done) => member.child.on('exit', (code, signal) => done({ code, signal })));
    member.ended.then((how) => (member.how = how));
    return member;
  }

  /** Waits until it told something for which `expected` holds. */
  async tells(what, expected, options) {
    const latest = () => {
      if (this.how && this.how.code !== 0) throw new Error(`the SDK ended with ${JSON.stringify(this.how)}: ${this.errors.slice(-2000)}`);
      return this.told.findLast(expected) ?? null;
    };
    const { value } = await becomes(what, latest, (event) => event !== null, { within: 30_000, ...options });
    return value;
  }

  /** For a failure's message: the latest of each thing that it told about each member, and what arrives on each track. */
  async story() {
    if (!this.how) {
      this.do({ do: 'report' });
      await eventually('the Python member reports', () => this.told.some(({ event }) => event === 'reported'), { within: 5_000 }).catch(() => {});
    }
    const latest = new Map(this.told.map((told) => [`${told.event} ${told.of} ${told.kind}`, JSON.stringify(told)]));
    return [...latest.values(), this.errors.slice(-1500)].join('\n');
  }

  do(command) {
    this.child.stdin.write(`${JSON.stringify(command)}\n`);
  }

  /** Leaves the room as it should, and waits for the process's end. */
  async leave() {
    if (this.how) return this.how;
    this.child.stdin.end();
    return within(15_000, 'the Python member leaves', this.ended).catch((error) => {
      this.child.kill('SIGKILL');
      throw error;
    });
  }
}
