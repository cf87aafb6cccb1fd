import { expect, test } from 'vitest'
import { apiErrorOf, wordsOf } from '../src/api'
import { claimsOf } from '../src/tokens'
import { namesOf } from '../src/ui/names'
import { hueOf, initials } from '../src/ui/hue'

test("the server's refusal keeps its code, action and words", () => {
  const error = apiErrorOf(403, { error: { code: 'not_allowed', action: 'broadcast', message: 'You may not.' } })
  expect(error).toMatchObject({ code: 'not_allowed', action: 'broadcast', message: 'You may not.' })
  expect(wordsOf(error)).toBe('You may not.')
})

test("a proxy's error page becomes a sentence", () => {
  for (const body of [null, 'oops', {}, { error: 'x' }, { error: { message: 7 } }]) {
    expect(apiErrorOf(502, body)).toMatchObject({ code: 'unavailable', action: null, message: 'The server answered 502.' })
  }
})

test('claims are read from a token, and nothing from what is not one', () => {
  const part = (claims: unknown) =>
    btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(claims)))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
  expect(claimsOf(`x.${part({ sub: 'ada', name: 'Adä', video: { roomAdmin: true } })}.y`)).toEqual({ identity: 'ada', name: 'Adä', grants: { roomAdmin: true } })
  for (const token of ['', 'x', 'x.!!.y', `x.${part(3)}.y`, `x.${part(null)}.y`]) expect(claimsOf(token), token).toBeNull()
  expect(claimsOf(`x.${part({ sub: 3, video: 'all' })}.y`)).toEqual({ identity: '', name: '', grants: {} })
})

test('names are listed as in a sentence', () => {
  const people = (...names: string[]) => names.map((name) => ({ name, identity: 'id' }))
  expect(namesOf(people('Ada'))).toBe('Ada')
  expect(namesOf(people('Ada', 'Bo', ''))).toBe('Ada, Bo and id')
  expect(namesOf(people('A', 'B', 'C', 'D', 'E'))).toBe('A, B, C and 2 others')
})

test('a name gives letters and always the same colour', () => {
  expect(initials('Ada Lovelace')).toBe('AL')
  expect(initials('jonas')).toBe('JO')
  expect(initials('  ')).toBe('?')
  expect(hueOf('ada')).toEqual(hueOf('ada'))
})
