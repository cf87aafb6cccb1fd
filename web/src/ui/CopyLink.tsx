/** Copies the link to a page, and shows it when the browser does not let it be copied. */
import { useEffect, useState } from 'preact/hooks'
import { Icon } from './Icon'

interface Props {
  path: string
  label?: string
  size?: 'usual' | 'small'
}

export function CopyLink({ path, label = 'Copy link', size = 'usual' }: Props) {
  const [said, setSaid] = useState<string | null>(null)
  const link = location.origin + path

  useEffect(() => {
    if (said === null) return
    const timer = setTimeout(() => setSaid(null), 4000)
    return () => clearTimeout(timer)
  }, [said])

  async function copy() {
    try {
      await navigator.clipboard.writeText(link)
      setSaid('Link copied')
    } catch {
      setSaid(link)
    }
  }

  return (
    <button type="button" class={size === 'small' ? 'button small' : 'button'} onClick={() => void copy()}>
      <Icon name="link" />
      <span role="status">{said ?? label}</span>
    </button>
  )
}
