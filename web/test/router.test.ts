import { expect, test } from 'vitest'
import { pathTo, placeOf } from '../src/router'

test('each page has its path', () => {
  expect(placeOf('/')).toEqual({ page: 'home' })
  expect(placeOf('/join/town%20hall')).toEqual({ page: 'join', room: 'town hall' })
  expect(placeOf('/stage/a/')).toEqual({ page: 'stage', room: 'a' })
  expect(placeOf('/watch/%E6%9D%B1')).toEqual({ page: 'watch', room: '東' })
  expect(placeOf('/embed/town%20hall')).toEqual({ page: 'embed', room: 'town hall' })
  expect(placeOf('/recording/01J')).toEqual({ page: 'recording', id: '01J' })
})

test('a path that names no page, or no possible room, is not found', () => {
  for (const path of ['/join', '/join/', '/nowhere/x', '/join/a/b', '/watch/%E0%A4%A', '/stage/a%2Fb', '/stage/..%2f']) {
    expect(placeOf(path), path).toEqual({ page: 'not-found' })
  }
})

test('a path made for a room leads back to it', () => {
  for (const room of ['town hall', 'a~b', '東京', 'x.y']) {
    expect(placeOf(pathTo('watch', room))).toEqual({ page: 'watch', room })
  }
})
