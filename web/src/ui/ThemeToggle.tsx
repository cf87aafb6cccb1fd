import { Icon } from './Icon'
import { look, toggleLook } from './theme'

export function ThemeToggle() {
  const light = look.value === 'light'
  return (
    <button type="button" class="button plain square" aria-pressed={light} aria-label="Light colours" title="Light colours" onClick={toggleLook}>
      <Icon name={light ? 'sun' : 'moon'} />
    </button>
  )
}
