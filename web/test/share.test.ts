import { expect, test } from 'vitest'
import { embedCode, momentOf, secondsOf } from '../src/watch/moments'

test('a moment in an address is a time, and anything else is none', () => {
  expect(momentOf('?at=2026-05-01T19:30:00.250Z')).toBe(Date.UTC(2026, 4, 1, 19, 30, 0, 250))
  for (const search of ['', '?at=', '?at=x', '?to=2026-05-01T19:30:00Z', '?at=99999999999']) expect(momentOf(search), search).toBeNull()
})

test('the code for another page is safe whatever the room is called', () => {
  const code = embedCode('https://amphi.example', 'town hall', '"><script>alert(1)</script>&')
  expect(code).toContain('src="https://amphi.example/embed.js"')
  expect(code).toContain('room="town hall"')
  expect(code).toContain('label="Broadcast of &quot;>&lt;script>alert(1)&lt;/script>&amp;"')
})

test('a second in an address is a number, and anything else is the beginning', () => {
  expect(secondsOf('?t=65')).toBe(65)
  expect(secondsOf('?t=2.5')).toBe(2.5)
  for (const search of ['', '?t=', '?t=1m', '?t=-3', '?t=1e3', '?t=123456789', '?at=65']) expect(secondsOf(search), search).toBe(0)
})
