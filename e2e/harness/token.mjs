// Access tokens as an application's own server would make them: HS256 with the key of `--dev`.
import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { AMPHI } from './server.mjs';

const base64 = (value) => Buffer.from(value).toString('base64url');

/** What a member of a call may usually do. */
export const MEMBER = { roomJoin: true, canPublish: true, canSubscribe: true, canPublishData: true };

/**
 * A token for one person and one room, for an hour.
 * @param {{room: string, identity: string, name?: string, grants?: object, key?: string, secret?: string}} who
 */
export function token({ room, identity, name = identity, grants = MEMBER, key = 'devkey', secret = 'secret' }) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: key, sub: identity, name, nbf: now - 5, exp: now + 3600, video: { room, ...grants } };
  const signed = `${base64(JSON.stringify({ alg: 'HS256', typ: 'JWT' }))}.${base64(JSON.stringify(claims))}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

/** A token of somebody who runs the room, but is not in it. */
export const admin = (room) =>
  token({ room, identity: 'the-house', grants: { roomAdmin: true, roomBroadcast: true, roomRecord: true } });

/** A token made by `amphi token`. */
export const tokenFromCommandLine = (...args) =>
  execFileSync(AMPHI, ['token', '--dev', ...args], { encoding: 'utf8' }).trim();
