import { expect, test } from 'vitest'
import { destination, roomNameProblem, tokenOf } from '../src/rooms'

test('letters of any script, digits, spaces and - _ . ~ make a room name', () => {
  for (const name of ['town-hall', 'Grüße aus Köln', '東京', 'a', 'v1.2_x~y', '...', 'é'.repeat(64)]) {
    expect(roomNameProblem(name), name).toBeNull()
  }
})

test('a name the server would refuse is refused in words', () => {
  for (const name of ['', '.', '..', 'a/b', 'a\nb', 'x'.repeat(129), 'é'.repeat(65), '<b>', 'a%2Fb', '🙂', 'a?b']) {
    expect(roomNameProblem(name), JSON.stringify(name)).toMatch(/\.$/)
  }
})

test('an invitation link that is pasted leads to its room with its token', () => {
  expect(destination(' https://amphi.example/join/town%20hall#token=a.b.c ')).toEqual({ room: 'town hall', token: 'a.b.c' })
  expect(destination('http://127.0.0.1:7880/watch/x')).toEqual({ room: 'x', token: null })
})

test('what is not a link to a room stays what was typed', () => {
  expect(destination(' town-hall ')).toEqual({ room: 'town-hall', token: null })
  for (const typed of ['https://amphi.example/', 'https://amphi.example/join/%E0%A4%A', 'https://']) {
    expect(roomNameProblem(destination(typed).room), typed).not.toBeNull()
  }
})

test('a fragment without a token has none', () => {
  expect(tokenOf('#token=x')).toBe('x')
  expect(tokenOf('')).toBeNull()
  expect(tokenOf('#token=')).toBeNull()
  expect(tokenOf('#live')).toBeNull()
})
