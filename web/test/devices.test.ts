import { expect, test } from 'vitest'
import { browserOf, deviceProblem } from '../src/call/deviceProblem'
import { levelOf } from '../src/call/level'

test('a block is explained with the place where this browser keeps it', () => {
  expect(deviceProblem(['camera'], 'NotAllowedError', 'firefox').advice).toContain('crossed-out')
  expect(deviceProblem(['camera'], 'NotAllowedError', 'safari').advice).toContain('Safari menu')
  const both = deviceProblem(['microphone', 'camera'], 'NotAllowedError', 'chromium')
  expect(both.title).toBe('Your browser blocks the microphone and camera.')
  expect(both.advice).toContain('Try again')
})

test('a missing camera offers sound only, a missing everything offers listening', () => {
  expect(deviceProblem(['camera'], 'NotFoundError', 'chromium').advice).toContain('sound only')
  expect(deviceProblem(['microphone', 'camera'], 'NotFoundError', 'chromium').advice).toContain('only listen')
})

test('a camera that another program holds is said to be in use', () => {
  expect(deviceProblem(['camera'], 'NotReadableError', 'chromium').advice).toContain('Another program')
})

test('an error nobody foresaw is named', () => {
  expect(deviceProblem(['microphone'], 'WeirdError', 'chromium').title).toContain('WeirdError')
})

test('browsers are told apart by what they say of themselves', () => {
  const chrome = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36'
  const safari = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15'
  expect(browserOf(chrome)).toBe('chromium')
  expect(browserOf(safari)).toBe('safari')
  expect(browserOf('Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0')).toBe('firefox')
})

test('silence is 0, a full-scale tone is nearly 100, and louder is more', () => {
  const tone = (amplitude: number) => Float32Array.from({ length: 1024 }, (_, at) => amplitude * Math.sin(at / 5))
  expect(levelOf(new Float32Array(1024))).toBe(0)
  expect(levelOf(new Float32Array(0))).toBe(0)
  expect(levelOf(tone(1))).toBeGreaterThan(90)
  expect(levelOf(tone(0.1))).toBeGreaterThan(levelOf(tone(0.01)))
})
