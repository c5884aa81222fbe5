// Sends the ink to the script each time the pen goes up, which reruns the fragment or page that contains this element.

export default function ({ setTriggerValue }) {
  const tell = ({ detail }) => setTriggerValue("pen_up", detail);
  document.addEventListener("pen-up", tell);
  return () => document.removeEventListener("pen-up", tell);
}
