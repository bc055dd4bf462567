/** What of jstat is used here; the package has no types of its own. */
declare module 'jstat' {
  const jstat: {
    normal: { inv(p: number, mean: number, std: number): number }
    studentt: { inv(p: number, degreesOfFreedom: number): number; cdf(t: number, degreesOfFreedom: number): number }
  }
  export default jstat
}
