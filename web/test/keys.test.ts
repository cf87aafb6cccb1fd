import { afterEach, expect, test } from 'vitest'
import { isSingle, singleKeys, withKeys } from '../src/ui/keys'

afterEach(() => {
  singleKeys.value = true
})

test('a button says which keys press it, and only those that do', () => {
  expect(withKeys('Mute', 'M', 'Ctrl+D')).toBe('Mute (M, or Ctrl+D)')
  singleKeys.value = false
  expect(withKeys('Mute', 'M', 'Ctrl+D')).toBe('Mute (Ctrl+D)')
  expect(withKeys('Mute', 'M')).toBe('Mute')
})

test('keys with Ctrl, and Esc, work always', () => {
  expect(['M', 'Space', '?', '←', 'Ctrl+E', 'Esc'].filter(isSingle)).toEqual(['M', 'Space', '?', '←'])
})
