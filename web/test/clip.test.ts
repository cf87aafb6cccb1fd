import { signal } from '@preact/signals'
import { expect, test, vi } from 'vitest'
import { keepAudienceToken, keepersTokens, keepToken, tokenFor } from '../src/tokens'
import type { ServerInfo } from '../src/api'
import { Clipping, clipSpan, mayClip } from '../src/watch/clip'
import type { LivePlayer } from '../src/watch/live'

const token = (grants: object) => `x.${btoa(JSON.stringify({ sub: 'ada', video: grants }))}.x`
const server = (access: ServerInfo['access'], open_grants: ServerInfo['open_grants']): ServerInfo => ({
  version: '1',
  access,
  open_grants,
  composes: true,
  program: 'auto',
  layout: 'grid',
  fit: 'auto',
  room_title: false,
  tracks: false,
})

test('a clip is the last half minute before what is shown, or as much of it as is still there', () => {
  expect(clipSpan(100_000.4, 20_000)).toEqual([70_000, 100_000])
  expect(clipSpan(100_000, 88_000.25)).toEqual([88_100, 100_000])
})

test('who may record in the room may clip, and everybody where the open door lets everybody record', () => {
  expect(mayClip('hall', null)).toBe(false)
  expect(mayClip('hall', server('token', []))).toBe(false)
  expect(mayClip('hall', server('open', ['canPublish', 'roomBroadcast']))).toBe(false)
  expect(mayClip('hall', server('open', ['canPublish', 'roomRecord']))).toBe(true)
  keepToken('hall', token({ canPublish: true }), 'invitation')
  expect(mayClip('hall', null)).toBe(false)
  keepToken('hall', token({ roomRecord: true }), 'invitation')
  expect(mayClip('hall', null)).toBe(true)
  expect(mayClip('yard', null)).toBe(false)
})

test('a token of the audience keeps recordings, and opens no stage', () => {
  const kept = token({ roomRecord: true })
  keepAudienceToken('attic', kept)
  expect(keepersTokens()).toContainEqual({ room: 'attic', token: kept })
  expect(tokenFor('attic')).toBeNull()
})

test('before anything is shown there is nothing to clip, and the server is not asked', async () => {
  const asked = vi.fn()
  vi.stubGlobal('fetch', asked)
  const clipping = new Clipping('hall', null)
  const player = { range: signal({ from: 0, to: 1 }), position: signal(0), dateAt: (at: number) => 1_000 + at }
  await clipping.make(player as unknown as LivePlayer)
  expect(clipping.state.value).toMatchObject({ is: 'refused', words: 'Nothing can be clipped before the picture is there.' })
  expect(asked).not.toHaveBeenCalled()
  vi.unstubAllGlobals()
})
