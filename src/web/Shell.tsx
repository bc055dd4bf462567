/** What stands around every page: the name, the parts, help and theme; keys that go from part to part. */
import {
  CircleHelp,
  FlaskConical,
  GraduationCap,
  MessagesSquare,
  Monitor,
  Moon,
  Sun,
  Tags,
  TrendingUp,
} from 'lucide-react'
import { type ReactNode, useEffect } from 'react'
import { Link, useLocation } from 'wouter'
import { useSession } from './session.ts'
import { IconButton } from './ui/Button.tsx'
import { HelpProvider, isTyping, useOpenHelp } from './ui/Help.tsx'
import { themes, useTheme } from './ui/theme.ts'

/** Parts that only the owner sees are left out for annotators. `key` is pressed after g. */
const parts = [
  { path: '/label', name: 'Label', icon: Tags, key: 'l', owner: false },
  { path: '/runs', name: 'Runs', icon: TrendingUp, key: 'r', owner: true },
  { path: '/train', name: 'Train', icon: GraduationCap, key: 't', owner: true },
  { path: '/play', name: 'Playground', icon: MessagesSquare, key: 'p', owner: true },
  { path: '/reports', name: 'Reports', icon: FlaskConical, key: 'o', owner: true },
] as const

export const Shell = ({ children }: { children: ReactNode }) => {
  const { person } = useSession()
  const [location, go] = useLocation()
  const own = parts.filter(({ owner }) => !owner || person.role === 'own')
  useGoKeys((key) => {
    const path = key === 'h' ? '/' : own.find((other) => other.key === key)?.path
    if (path) go(path)
  })
  return (
    <HelpProvider>
      <div className="shell">
        <a className="skip" href="#main">
          Skip to the page
        </a>
        <header className="topbar">
          <Link href="/" className="brand" aria-label="attune: start">
            <Mark />
            <span>attune</span>
          </Link>
          <nav aria-label="Parts of the studio">
            {own.map(({ path, name, icon: Icon }) => (
              <Link key={path} href={path} aria-current={isWithin(path, location) ? 'page' : undefined}>
                <Icon size={16} aria-hidden />
                <span>{name}</span>
              </Link>
            ))}
          </nav>
          {person.role !== 'own' && <span className="who">{person.name}</span>}
          <div className="tools">
            <HelpButton />
            <ThemeButton />
          </div>
        </header>
        <main id="main" tabIndex={-1}>
          {children}
        </main>
      </div>
    </HelpProvider>
  )
}

/** /runs and /runs/NAME are within /runs, /runsheet is not. */
const isWithin = (path: string, location: string) => location === path || location.startsWith(`${path}/`)

/** As icon.svg. */
const Mark = () => (
  <svg width="20" height="20" viewBox="0 0 32 32" aria-hidden="true">
    <rect width="32" height="32" rx="8" fill="var(--accent)" />
    <path d="M8 21l5-10 4 8 3-5 4 7" fill="none" stroke="var(--accent-ink)" strokeWidth="2.5" strokeLinejoin="round" />
  </svg>
)

/** g and then a letter, within a second. On the window, so that keys of a page, on the document, come first. */
const useGoKeys = (go: (key: string) => void) => {
  useEffect(() => {
    let begun = 0
    const onKey = (event: KeyboardEvent) => {
      if (isTyping(event) || event.defaultPrevented) return
      if (event.timeStamp - begun < 1000) go(event.key)
      begun = event.key === 'g' ? event.timeStamp : 0
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  })
}

const HelpButton = () => (
  <IconButton label="Keys (?)" onClick={useOpenHelp()}>
    <CircleHelp size={16} aria-hidden />
  </IconButton>
)

const icons = { system: Monitor, light: Sun, dark: Moon }

const ThemeButton = () => {
  const [theme, setTheme] = useTheme()
  const Icon = icons[theme]
  const next = themes[(themes.indexOf(theme) + 1) % themes.length]
  return (
    <IconButton label={`Theme: ${theme}. Switch to ${next}`} onClick={() => setTheme(next)}>
      <Icon size={16} aria-hidden />
    </IconButton>
  )
}
