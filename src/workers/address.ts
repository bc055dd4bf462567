/** The address of a Redis in words. */

/** Without its password, which may also stand behind a question mark: for messages, logs, run.json and the studio. */
export const withoutPassword = (url: string): string => {
  const [plain] = url.split('?')
  const at = plain.lastIndexOf('@')
  const scheme = plain.indexOf('://')
  return at < 0 || scheme < 0 ? plain : `${plain.slice(0, scheme + 3)}${plain.slice(at + 1)}`
}
