// Films play while they are in view; a click stops them. Where the reader wants less motion, and
// without this script, they have the browser's controls and play when asked.
if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) target.play();
      else target.pause();
    }
  });
  for (const film of document.querySelectorAll("video")) {
    film.controls = false;
    film.title = "Click to stop or to go on";
    film.addEventListener("click", () => (film.paused ? film.play() : film.pause()));
    seen.observe(film);
  }
}
