/** Light, dark, or as the system has it; kept in this browser. */
import { useSyncExternalStore } from 'react'

export const themes = ['system', 'light', 'dark'] as const
export type Theme = (typeof themes)[number]

const key = 'attune-theme'
const listeners = new Set<() => void>()

const read = (): Theme => {
  const kept = localStorage.getItem(key)
  return themes.find((theme) => theme === kept) ?? 'system'
}

const apply = () => {
  const theme = read()
  if (theme === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
}

apply()

const setTheme = (theme: Theme) => {
  localStorage.setItem(key, theme)
  apply()
  for (const listener of listeners) listener()
}

export const useTheme = (): [Theme, (theme: Theme) => void] => [
  useSyncExternalStore((listener) => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }, read),
  setTheme,
]
