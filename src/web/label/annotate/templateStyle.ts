/** The style of an imported Label Studio template, as a style sheet of the task alone. */
import { useEffect } from 'react'

/**
 * Each rule is read by the browser first and written anew inside of `.template`, so that none reaches the rest of the page:
 * unbalanced braces are gone by then.
 */
export const useTemplateStyle = (css: string | undefined): void => {
  useEffect(() => {
    if (!css) return
    const read = new CSSStyleSheet()
    read.replaceSync(css)
    const rules = [...read.cssRules]
      .map(({ cssText }) => cssText)
      .filter((rule) => !/url\(|@import|@font-face/i.test(rule))
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(`.template {\n${rules.join('\n')}\n}`)
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]
    return () => {
      document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet)
    }
  }, [css])
}
