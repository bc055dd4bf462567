/** Addresses of runs: a name is a path, each part of which is encoded by itself. */
const encoded = (name: string) => name.split('/').map(encodeURIComponent).join('/')

export const runPath = (name: string): string => `/runs/${encoded(name)}`

/** The name in the address of a run's page. */
export const runNameIn = (pathname: string): string =>
  pathname
    .replace(/^\/runs\//, '')
    .split('/')
    .map(decoded)
    .join('/')

const decoded = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** Below /api. */
export const runApi = (name: string, rest = ''): string => `/runs/${encodeURIComponent(name)}${rest}`

export const comparePath = (names: readonly string[]): string => `/runs/compare?${runsQuery(names)}`

export const runsQuery = (names: readonly string[]): string =>
  names.map((name) => `run=${encodeURIComponent(name)}`).join('&')
