/** The address of a Redis in words. */

/** Without its password: for messages, logs and run.json. */
export const withoutPassword = (url: string): string => {
  const at = url.lastIndexOf('@')
  const scheme = url.indexOf('://')
  return at < 0 || scheme < 0 ? url : `${url.slice(0, scheme + 3)}${url.slice(at + 1)}`
}
